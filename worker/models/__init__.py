"""The model: one OpenAI-compatible endpoint, spoken to through the `openai` client."""
