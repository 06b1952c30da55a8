"""A listener of its own for large uploads: threads that receive into buffers, opened by signed tickets that expire."""

from dais.api.bulk.listener import BulkListener, listening
from dais.api.bulk.tickets import CONTENTS, Ticket, Tickets

__all__ = ["CONTENTS", "BulkListener", "Ticket", "Tickets", "listening"]
