"""Those who exchange messages: a client with a secret key, a server without one."""
