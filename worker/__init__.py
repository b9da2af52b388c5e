"""What takes time, money or a model: Celery workers that execute runs step by step."""
