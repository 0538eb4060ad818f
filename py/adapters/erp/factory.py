"""The ERP by its kind. Another one is a module with the port's functions, and a line here."""

from adapters.erp.csv_folder import CsvFolder
from adapters.erp.port import Erp
from adapters.erp.settings import Settings
from adapters.erp.tryton import Tryton
from adapters.erp.tryton_sales import LeadingSince


def open_erp(settings: Settings, leading_since: LeadingSince) -> Erp:
    """The configured ERP; nothing is asked of it yet."""
    if settings.erp_kind == "tryton":
        return Tryton(settings, leading_since)
    if settings.erp_kind == "csv":
        return CsvFolder(settings)
    raise ValueError(f"HUB_ERP_KIND={settings.erp_kind}: nothing to connect to")
