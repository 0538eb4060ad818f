"""Creates the configured ERP. A further ERP is a module that implements the port, and a case here."""

from adapters.erp.csv_folder import CsvFolder
from adapters.erp.port import Erp
from adapters.erp.settings import Settings
from adapters.erp.tryton import Tryton
from adapters.erp.tryton_sales import LeadingSince


def open_erp(settings: Settings, leading_since: LeadingSince) -> Erp:
    """The ERP that HUB_ERP_KIND names; it is not called yet. Raises ValueError for `none`."""
    if settings.erp_kind == "tryton":
        return Tryton(settings, leading_since)
    if settings.erp_kind == "csv":
        return CsvFolder(settings)
    raise ValueError(f"HUB_ERP_KIND is {settings.erp_kind}: set it to tryton or csv")
