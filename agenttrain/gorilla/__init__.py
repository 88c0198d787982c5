"""What Gorilla (arXiv 2305.15334) is made of: documents of APIs, requests for them, and how answers are judged."""
