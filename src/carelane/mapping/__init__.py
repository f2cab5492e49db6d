"""Map packs: declarative rows, compiled once into closures that read a source and fill a document, and back."""
