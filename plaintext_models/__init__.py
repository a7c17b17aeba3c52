"""Float and quantisation-aware networks: data sets, architectures, training, export.

Importing this package, its data sets or its shipped networks does not need torch; training does (the extra ``train``).
"""
