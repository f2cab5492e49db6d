"""The parts that deliver, joined: shards, gates, lanes, turns and rings share one answer to whose lane it is."""

from dataclasses import dataclass

from carelane.exchange.attempt import Bench
from carelane.exchange.gates import Gates
from carelane.exchange.lanes import Lanes
from carelane.exchange.ports import Bell, Catalogue, Leases, Ledger, Tools, Transports
from carelane.exchange.rings import Rings
from carelane.exchange.shards import Shards
from carelane.exchange.turn import Tell, Turns


@dataclass(frozen=True)
class Outside:
    """What delivery asks of the outside."""

    ledger: Ledger
    leases: Leases
    bell: Bell
    catalogue: Catalogue
    transports: Transports
    tools: Tools
    tell: Tell


@dataclass(frozen=True)
class Delivery:
    """One node's half of the journey that follows the acknowledgement."""

    shards: Shards
    gates: Gates
    lanes: Lanes
    turns: Turns
    rings: Rings


def join_delivery(outside: Outside, bench: Bench) -> Delivery:
    """Make the parts and tie them together."""
    shards = Shards(bench.clock)
    gates = Gates(outside.catalogue, outside.transports, outside.tools)
    turns = Turns(outside.ledger, bench, outside.catalogue, shards, gates, outside.tell)
    lanes = Lanes(outside.leases, shards, outside.catalogue, gates, bench.clock, turns.begin)
    turns.lanes = lanes
    return Delivery(shards, gates, lanes, turns, Rings(lanes, shards, outside.catalogue, outside.bell, bench.clock))
