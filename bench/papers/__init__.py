"""The results of five documents, measured again: one file a document, and what all of them need."""
