"""The configuration: one TOML file, read whole, with every problem in it reported at once.

Each setting is declared once, in the section it belongs to, with its type, its default and its description. Reading,
the shipped sample and the reference documentation come from that declaration; what is not declared is an error.

    sections     the declarations, and what other parts of the program hold in their hands
    section      what each of them is
    state        that of the state, on disk or shared
    tables       the smaller tables among them
    reader       from the file to the sections
    checks       settings that are fine alone and do not go together
    manual       every setting in words: the sample, the documentation, what an unknown name may have meant
    kinds        the types of settings in words, and values as TOML
    environment  ``${NAME}`` in strings
    secret       keys and passwords, which never print
    sources      through which view the records of a tag are read
    written      two configurations told apart: what a reload takes, and what waits for a restart
"""

from firstseen.config.manual import Setting, sample, settings
from firstseen.config.reader import SettingsError, load, load_part, located
from firstseen.config.sections import (
    Alerts,
    Config,
    GeoIp,
    Http,
    Input,
    Log,
    Output,
    Rules,
)
from firstseen.config.sources import Sources, View
from firstseen.config.state import State
from firstseen.config.tables import ClientTls, Server, ServerTls, User
from firstseen.config.written import AT_RELOAD, taken, written

__all__ = [
    "AT_RELOAD",
    "Alerts",
    "ClientTls",
    "Config",
    "GeoIp",
    "Http",
    "Input",
    "Log",
    "Output",
    "Rules",
    "Server",
    "ServerTls",
    "Setting",
    "SettingsError",
    "Sources",
    "State",
    "User",
    "View",
    "load",
    "load_part",
    "located",
    "sample",
    "settings",
    "taken",
    "written",
]
