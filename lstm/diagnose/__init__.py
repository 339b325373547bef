"""Say whether code is an LSTM, in which convention, and which line is not."""

from lstm.diagnose.convert import from_framework, to_framework
from lstm.diagnose.diagnosis import Diagnosis
from lstm.diagnose.examine import diagnose, diagnose_sequence

__all__ = ["Diagnosis", "diagnose", "diagnose_sequence", "from_framework", "to_framework"]
