"""What may be the matter with a server that hangs up on us soon, and never said a word."""

from __future__ import annotations


def doubt(*, tls: bool, greeted: bool, sent: bool) -> str:
    """To be put behind the reason. ``greeted`` says that a HELO was waited for, ``sent`` that frames were sent."""
    if tls:  # so ends TLS 1.3 at a server that wants to see another certificate
        return ", which said nothing: it may want a certificate that it trusts (output.tls.cert)"
    if greeted:
        return ", which said nothing: it may want TLS (tls:// in output.servers)"
    if sent:
        return ", which said nothing: it may want TLS (tls:// in output.servers) or a key (output.shared_key)"
    return ""
