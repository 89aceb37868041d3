"""The material of the demo: a made-up shop for lamps, its handbook, customers, orders and tickets.

All of it is written for this demo or computed from a ticket's number; nothing is taken from real people.
"""

from __future__ import annotations

from random import Random

from costopt.types import Json

SHOP = "Lumen & Co"

HANDBOOK = {
    "returns": (
        "Customers may return any lamp within 30 days of delivery. The lamp must be complete and in its "
        "box, but the box may have been opened. Bulbs that were switched on are taken back only if "
        "faulty. We pay the way back when the lamp arrived broken, wrong or late; otherwise the customer "
        "pays. Never ask for a photo of a lamp that cost less than 40 euros: send a new one and let the "
        "customer keep or recycle the old one."
    ),
    "refunds": (
        "Money goes back the way it came within five working days after the parcel reaches our store. "
        "Gift cards are refunded as gift cards. A refund above 200 euros needs a second pair of eyes: "
        "write a note and set the ticket to waiting. Partial refunds are fine for scratches if the "
        "customer prefers to keep the lamp; offer 15 percent first and go up to 30 percent without "
        "asking."
    ),
    "shipping": (
        "Orders paid before two in the afternoon leave the same day. Inland parcels take two working "
        "days, neighbouring countries four, islands seven. A parcel that has not moved for five working "
        "days counts as lost: send a new one at once and open a claim with the carrier. Do not make the "
        "customer wait for the claim."
    ),
    "warranty": (
        "Every lamp has three years of warranty, lamps of the Harbour series have five. Broken glass is "
        "not covered, cords and switches are. A repair takes ten working days; if a part is out of stock,"
        " offer a new lamp of the same or a higher price. Keep the serial number in the note; it is "
        "printed under the foot of the lamp."
    ),
    "wholesale": (
        "Companies with a frame contract have their own prices and pay by invoice within 30 days. Never "
        "quote a wholesale price to a private customer. Orders above 20 pieces are confirmed by the sales"
        " team, who answer on the next working day. Returns of wholesale orders need a form, which the "
        "sales team sends."
    ),
    "privacy": (
        "Tell nobody about another person's order, however good the story is. The caller must know the "
        "order number and the postcode. An address may be changed until the parcel has left. Delete a "
        "customer's data on request within 30 days, except for invoices, which the law tells us to keep."
    ),
    "tone": (
        "Write short sentences. Say sorry once, not three times. Give one clear next step and a date. No "
        "jokes about light bulbs. Answer in the customer's language if you can, else in English. Sign "
        "with the name of the shop."
    ),
    "damage": (
        "Ask whether the outer carton was damaged, because the carrier pays only if it was. Damage must "
        "be claimed within seven days. Send the new lamp before the claim is settled. If the same model "
        "arrives broken for the third time in a month, tell the packing team by a note with the word "
        "packing in it."
    ),
    "payment": (
        "Cards, transfer and gift cards are accepted. A payment that shows as pending for more than a day"
        " has usually failed; ask the customer to try once more and never to send card numbers by mail. "
        "Double charges are released by the bank within three days; send the text of the article if the "
        "customer is worried."
    ),
    "stock": (
        "The page shows stock as of the last hour. A lamp marked as coming soon has a date in the list of"
        " orders; add two days for safety. Do not promise a date for lamps without one. Customers may ask"
        " to be told when a lamp is back; put their ticket on waiting with the name of the lamp."
    ),
}

SYSTEM = (
    f"You are the support desk of {SHOP}, a shop for lamps. Work on one ticket at a time with the tools "
    "you have. Read the ticket first, look things up rather than guess, and finish with an answer to the "
    "customer. The handbook is binding:\n\n"
    + "\n\n".join(f"## {name}\n{text}" for name, text in HANDBOOK.items())
)

LABELS = ("delivery", "returns", "warranty", "payment", "other")

SUBJECTS = (
    ("My parcel has not moved since Monday", "delivery"),
    ("The glass of the Harbour lamp arrived in pieces", "returns"),
    ("The switch of my reading lamp stopped working after a year", "warranty"),
    ("I was charged twice for one order", "payment"),
    ("Can I change the address of an order that I placed an hour ago?", "other"),
    ("You sent me the green one, I ordered the blue one", "returns"),
    ("When will the Dune floor lamp be back?", "other"),
    ("I returned a lamp two weeks ago and have no money yet", "payment"),
    ("The cord is shorter than the page says", "warranty"),
    ("The carrier says delivered but nothing is here", "delivery"),
)

QUESTIONS = (
    "How long may I take to return a lamp?",
    "Do you ship to islands, and how long does it take?",
    "Is the cord covered by the warranty?",
    "How do I pay by invoice as a company?",
    "When do I get my money back after a return?",
    "Can I change the delivery address?",
    "My lamp arrived broken. What now?",
    "Where do I find the serial number?",
)

#: What a very small model can answer and bring to an end.
SMALL_TALK = (
    "Say hello to a customer in one sentence.",
    "What is two plus two? Answer with one word.",
    "Name one colour.",
    "Say thank you.",
    "Is a lamp brighter than a candle? Answer yes or no.",
)

TOOLS = {
    "read_ticket": "The full text of a ticket with all messages so far.",
    "find_customer": "Who wrote the ticket: name, country, contract, notes.",
    "list_orders": "The orders of the ticket's customer, newest first, with all their lines.",
    "track_parcel": "Each scan of the newest parcel.",
    "search_handbook": "Articles of the handbook that fit the ticket.",
    "write_note": "Leave a note for colleagues.",
}
LAMPS = ("Harbour", "Dune", "Pine", "Lantern", "Arc", "Drop", "Reed", "Mast")
PLACES = ("store", "hub north", "hub west", "customs", "depot", "van")


def tool_schemas() -> list[Json]:
    """The tools as OpenAI's API takes them."""
    return [_schema(name, description) for name, description in TOOLS.items()]


def _schema(name: str, description: str) -> Json:
    ticket = {"type": "string", "description": "The ticket's number, like T-104"}
    parameters = {"type": "object", "properties": {"ticket": ticket}, "required": ["ticket"]}
    return {
        "type": "function",
        "function": {"name": name, "description": description, "parameters": parameters},
    }


def message_of(ticket: int) -> str:
    """What the customer wrote."""
    subject, _ = SUBJECTS[ticket % len(SUBJECTS)]
    return f"{subject}. Order O-{7000 + ticket * 13}, placed in week {ticket % 50 + 1}. Please help."


def path_of(ticket: int) -> list[str]:
    """The tools this ticket takes, in order: between three and six."""
    _, label = SUBJECTS[ticket % len(SUBJECTS)]
    steps = ["read_ticket", "find_customer", "list_orders"]
    steps += ["track_parcel"] if label in ("delivery", "returns") else []
    steps += ["search_handbook"] if label != "other" else []
    return steps + (["write_note"] if ticket % 3 == 0 else [])


def output_of(tool: str, ticket: int) -> Json:
    """What a tool answers; `next_step` is the desk's own rule for what to look at next."""
    path = path_of(ticket)
    after = path[path.index(tool) + 1 :] if tool in path else []
    facts = {
        "read_ticket": _ticket,
        "find_customer": _customer,
        "list_orders": _orders,
        "track_parcel": _scans,
        "search_handbook": _articles,
    }.get(tool, _saved)
    return {"next_step": after[0] if after else None} | facts(ticket, Random(f"{tool} {ticket}"))


def _ticket(ticket: int, random: Random) -> Json:
    message = {"from": "customer", "channel": random.choice(("mail", "form")), "text": message_of(ticket)}
    return {
        "ticket": f"T-{ticket}",
        "status": "open",
        "priority": random.randint(1, 3),
        "messages": [message],
    }


def _customer(ticket: int, random: Random) -> Json:
    return {
        "customer": f"C-{random.randint(1000, 9999)}",
        "country": random.choice(("NO", "DK", "DE", "FR", "PT")),
        "contract": None,
        "orders": random.randint(1, 9),
        "language": "en",
        "notes": [],
        "consents": {"newsletter": random.random() < 0.5, "phone": False, "post": False},
    }


def _orders(ticket: int, random: Random) -> Json:
    return {"orders": [_order(number, random) for number in range(random.randint(3, 6))]}


def _order(number: int, random: Random) -> Json:
    lines = [
        {
            "article": f"L-{random.randint(100, 999)}",
            "name": f"{random.choice(LAMPS)} lamp",
            "pieces": random.randint(1, 3),
            "unit_price": {"amount": random.randint(20, 240), "currency": "EUR", "tax_included": True},
            "discounts": [],
            "warehouse": random.choice(("A", "B")),
            "serials": [f"S-{random.randint(10**6, 10**7)}"],
            "warranty_until": f"2029-{random.randint(1, 12):02}-01",
        }
        for _ in range(random.randint(1, 4))
    ]
    return {
        "order": f"O-{7000 + random.randint(0, 999)}",
        "state": "delivered" if number else "sent",
        "lines": lines,
    }


def _scans(ticket: int, random: Random) -> Json:
    scans: list[Json] = [
        {
            "at": f"2026-03-{day + 2:02}T{random.randint(6, 20):02}:{random.randint(0, 59):02}:00Z",
            "place": random.choice(PLACES),
            "event": random.choice(("arrived", "left", "sorted")),
            "carrier_code": random.randint(100, 999),
            "exceptions": [],
        }
        for day in range(random.randint(6, 14))
    ]
    return {"parcel": f"P-{random.randint(10**5, 10**6)}", "scans": scans}


def _articles(ticket: int, random: Random) -> Json:
    names = random.sample(sorted(HANDBOOK), 4)
    return {"articles": [{"title": name, "text": HANDBOOK[name], "score": random.random()} for name in names]}


def _saved(ticket: int, random: Random) -> Json:
    return {"saved": True, "ticket": f"T-{ticket}"}


def documents() -> list[str]:
    """Texts for the search index; every third is the page footer again, as on real pages."""
    footer = f"{SHOP}. Prices include tax. Questions? Write to the support desk."
    pages: list[str] = []
    for number, (name, text) in enumerate(sorted(HANDBOOK.items())):
        pages += [
            f"{name}: {text}",
            f"{LAMPS[number % len(LAMPS)]} lamp, care and warranty, page {number}",
            footer,
        ]
    return pages
