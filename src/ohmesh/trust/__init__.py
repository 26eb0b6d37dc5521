"""Who said it: identities and signatures that convince a third party, and cheap seals between two that know each
other."""
