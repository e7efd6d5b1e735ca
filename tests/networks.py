"""Files that say where addresses belong, in MaxMind's format, made by a writer of that format."""

from collections.abc import Mapping
from pathlib import Path

from mmdb_writer import MMDBWriter
from netaddr import IPSet


def write_database(path: Path, networks: Mapping[str, Mapping[str, object]]) -> Path:
    """A file with a record for each network, such as `192.0.2.0/24`; moved into its place in one step."""
    writer = MMDBWriter(ip_version=6, ipv4_compatible=True, database_type="test")
    for network, record in networks.items():
        writer.insert_network(IPSet([network]), dict(record))
    new = path.with_suffix(".new")
    writer.to_db_file(str(new))
    return new.rename(path)


def countries(path: Path, codes: Mapping[str, str]) -> Path:
    """A file of countries, as GeoLite2 has them."""
    records = {
        network: {"country": {"iso_code": code, "names": {"en": "A country", "de": "Ein Land"}}}
        for network, code in codes.items()
    }
    return write_database(path, records)


def providers(path: Path, names: Mapping[str, str]) -> Path:
    """A file of providers, as GeoLite2 has them."""
    records = {network: {"autonomous_system_organization": name} for network, name in names.items()}
    return write_database(path, records)
