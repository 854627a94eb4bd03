"""The bundled suite: small packages of our own, each with one known defect."""
