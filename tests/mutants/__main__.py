"""Write the table of the mutants and the book's page about them: ``python -m tests.mutants``."""

from tests.mutants import page
from tests.mutants.killing import table

if __name__ == "__main__":
    page.write(table())
