"""Where the course is: everything that it reads and writes lies in the checkout of the project."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""The top of the checkout."""
