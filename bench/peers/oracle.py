"""An encrypted service under attack: the client asks, and uses nothing but the answers that it decrypts."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from bench.harness.timing import timed
from he import Circuit, connect
from plaintext_models.attacks.core.target import Target


@dataclass
class Asked:
    """What a service has been asked so far, checks and verdicts of attacks included.

    Attributes:
        requests: The number of ciphertext messages sent.
        images: The number of images in all requests together.
        seconds: The time of encryption, evaluation and decryption; keys are made before.
    """

    requests: int = 0
    images: int = 0
    seconds: float = 0.0


def encrypted_oracle(circuit: Circuit) -> tuple[Target, Asked]:
    """A target for images in [0, 1] whose logits are computed on ciphertexts, in requests as large as the circuit's.

    Client and server live in this process, and exchange bytes. Of the network the attacker knows what every client is
    told: the circuit's interface.

    Args:
        circuit: An exact one, whose logits are those of its integer network; or an approximate one, whose logits differ
            from call to call: the target is then stochastic. Both come as floats of the images' type and device.

    Returns:
        The target, and a count of what it is asked.
    """
    interface = circuit.interface
    client, session = connect(circuit)
    asked = Asked()

    def ask(batch: np.ndarray) -> np.ndarray:
        return client.decrypt(session.evaluate(client.encrypt(batch)))

    def answers(images: Tensor) -> Tensor:
        inputs = client.prepare(images.detach().cpu().numpy())
        logits = []
        for start in range(0, len(inputs), interface.images):
            batch = inputs[start : start + interface.images]
            seconds, answer = timed(partial(ask, batch))
            logits.append(answer)
            asked.requests += 1
            asked.images += len(batch)
            asked.seconds += seconds
        # exact logits are residues of 65537, and approximate ones coarser than float32
        dtype = torch.promote_types(images.dtype, torch.float32)
        return torch.from_numpy(np.concatenate(logits)).to(images.device, dtype)

    return Target.oracle(answers, stochastic=not circuit.parameters.scheme.exact), asked
