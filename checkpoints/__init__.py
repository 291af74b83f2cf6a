"""Trained models as their files hold them: what is stored, how it is encoded, and what it means as a decoder."""
