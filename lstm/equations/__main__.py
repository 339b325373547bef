"""Write the appendix of all equations: ``python -m lstm.equations`` in the project's folder."""

from pathlib import Path

from lstm.equations.binding import APPENDIX, appendix

if __name__ == "__main__":
    path = Path("book") / APPENDIX
    if not path.parent.is_dir():
        raise SystemExit("run this in the project's folder: there is no folder book/ here")
    path.write_text(appendix(Path()), encoding="utf-8")
    print(f"wrote {path}")
