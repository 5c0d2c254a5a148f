"""What each provider type has by default, in the original's shape.

A view of the catalogue's rows: changing it changes nothing that is done.
"""

from nexus3.wire.catalog import CATALOG, ProviderType


def _defaults(row: ProviderType) -> dict[str, str]:
    known = {
        "base_url": row.base_url,
        "api_key_env": row.key_env[0],
        "auth_method": row.auth,
        # Without a dated version, Azure's second generation of URLs is used.
        "api_version": "v1" if row.name == "azure" else None,
    }
    return {name: value for name, value in known.items() if value is not None}


PROVIDER_DEFAULTS: dict[str, dict[str, str]] = {name: _defaults(row) for name, row in CATALOG.items()}
"""``base_url`` (where a type has a common one), ``api_key_env``, ``auth_method`` and ``api_version`` by type name."""
