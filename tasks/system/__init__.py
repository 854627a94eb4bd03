"""Tasks whose outcome is a whole file system: worked on in a container of their image, judged by
their own verifier in a fresh one."""
