"""What the model must include, and where it is: `make model` fails if a part of it never happens there."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Element:
    """A part of the protocol that the model must have: where it is, and the actions without which it is not there."""

    name: str
    where: tuple[str, ...]
    actions: tuple[str, ...]


ELEMENTS = (
    Element(
        "the identity race",
        ("identity", "matcher", "telephone", "matching"),
        ("Refer", "Link", "Begin", "Write"),
    ),
    Element(
        "a link while something is in flight",
        (
            "identity",
            "release",
            "withdrawal",
            "handover",
            "returned",
            "succession",
            "parked",
            "convergence-linked",
        ),
        ("Link", "Apply", "HandOut"),
    ),
    Element(
        "an unlink while something is in flight",
        ("identity", "matcher", "withdrawal-unlinked", "parked-unlinked"),
        ("Unlink", "Apply", "HandOut"),
    ),
    Element(
        "the causal token, with a stale consent",
        ("identity", "release", "withdrawal"),
        ("Note", "Refuse", "HandOut"),
    ),
    Element("a redemption retried after a lost answer", ("release", "convergence"), ("RedeemAgain",)),
    Element(
        "expiry, before and after the redemption",
        ("identity", "release"),
        ("Expire", "TimePasses", "Resolve"),
    ),
    Element(
        "a crash before the send and after it",
        ("release", "convergence"),
        ("IntakeCrash", "RedeemForTheDead", "WriteRow", "SenderCrash", "ReportUnknown"),
    ),
    Element(
        "a restriction behind a parked key",
        ("parked", "parked-unlinked", "parked-withdrawn", "convergence", "convergence-linked"),
        ("Park", "ApplyPastParked", "Redrive", "Hold"),
    ),
    Element("hand-over of the lead, and its return", ("handover", "returned"), ("HandOver", "EndLead")),
    Element("succession of an agency", ("succession",), ("Succeed", "Inherit")),
    Element(
        "consent's database restored from before a withdrawal",
        ("restore", "restore-linked", "convergence-restore"),
        ("BackUp", "StoreWithdrawal", "PutInForce", "Restore", "Reconcile"),
    ),
    Element("erasure with suppression", ("erasure", "erasure-withdrawn", "matching"), ("Erase", "Refer")),
    Element(
        "withdrawal at any moment",
        ("withdrawal", "withdrawal-unlinked", "telephone-withdrawn"),
        ("StoreWithdrawal", "PutInForce", "LateNo"),
    ),
    Element(
        "events lost, repeated and out of order",
        ("delivery", "delivery-arrives"),
        ("LoseTopic", "LoseTail", "RelayCrash", "ConsumerCrash", "Drain", "AskSource"),
    ),
    Element("transactions that run at once", ("locking", "matching"), ("LookAgain", "Decide", "Commit")),
)
"""What the model includes (every part that the protocol's description asks for), and which configurations have it."""
