"""The layers of networks: their definitions, the worst case of each, and their form in a document."""
