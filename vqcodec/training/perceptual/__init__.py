"""The second decoder: adversarial fine-tuning of g_s."""
