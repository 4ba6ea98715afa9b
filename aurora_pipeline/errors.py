"""The errors Aurora raises on purpose.

Every message says what was wrong, where (file, symbol, session), what was expected and what to do about it.
The command line prints the message without a traceback and exits with :attr:`AuroraError.exit_code`.
"""


class AuroraError(Exception):
    """Base of every error a user can cause and a user can fix."""

    exit_code = 2


class MarketDataError(AuroraError):
    """A market folder, one of its files, or one of its rows cannot be used."""


class SettingsError(AuroraError):
    """A setting is unknown, has a wrong value, or contradicts another one."""


class ContractError(AuroraError):
    """A frame does not have the columns, types or keys its table declares."""


class LakeError(AuroraError):
    """A table or partition of the lake is missing, unreadable or held by someone else."""


class ServiceDownError(AuroraError):
    """A service of the profile `cluster` (database, object store, Ray) was away for longer than it may be."""


class LeakageError(AuroraError):
    """A row was about to be used before it was known."""


class TrainingError(AuroraError):
    """A model cannot be trained: too little history, a constant target, no usable feature."""


class ModelError(AuroraError):
    """A stored model is missing, corrupted, or does not match the features it is given."""


class LimitBreach(AuroraError):  # noqa: N818  (the field's word for it)
    """A target, trade or exposure lies outside a configured limit."""


class BookError(AuroraError):
    """A book's stored state does not allow what was asked of it, such as a gap between sessions."""


class VendorError(AuroraError):
    """A data vendor or broker cannot be used as asked."""


class VendorKeyError(VendorError):
    """A vendor's keys are missing, wrong, expired, or do not allow what was asked."""


class VendorDownError(VendorError):
    """A vendor did not answer, or only with errors of its own, as often as it was asked."""


class VendorFormatError(VendorError):
    """A vendor's answer is not in its documented form: nothing of it is used."""
