"""What families of diffusion models in the Hugging Face layout share. Knows none of them."""
