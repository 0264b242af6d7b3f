"""The English of the order desk: how each kind of question is asked.

A sentence is an opener around a noun phrase, or stands whole; greetings and closers go around it. Sentences, not
their decorations, are split: a sentence of the test split never occurs in training, greeted or not.
"""

from __future__ import annotations

from functools import cache

from agentkit.evals.suites.order_desk.names import Split, split_of

_OPENERS = (
    "What is {}?",
    "What's {}?",
    "Tell me {}.",
    "Can you tell me {}?",
    "Could you look up {}?",
    "Please find {}.",
    "Please check {}.",
    "I need {}.",
    "I would like to know {}.",
    "Do you know {}?",
    "Give me {}.",
    "We are looking for {}.",
    "A customer asks for {}.",
    "Find out {}.",
)
_CLOSERS = ("", " Thanks.", " It is urgent.", " Thank you!", " I am in a hurry.")
_GREETINGS = ("", "Hello. ", "Hi, desk. ", "Good morning. ")

# {a} and {b} are the entities of the question. Phrases that start with "=" are whole sentences.
_PHRASES: dict[str, tuple[str, ...]] = {
    "order.customer": (
        "the customer of order {a}",
        "the name of the customer on order {a}",
        "=Who placed order {a}?",
        "the buyer of order {a}",
        "=Who is the buyer on order {a}?",
        "=Which customer placed order {a}?",
    ),
    "order.product": (
        "the product of order {a}",
        "the product in order {a}",
        "=What was bought in order {a}?",
        "the item in order {a}",
        "=Which product is in order {a}?",
        "=Which item was bought in order {a}?",
    ),
    "order.quantity": (
        "the quantity of order {a}",
        "the number of units in order {a}",
        "=How many units are in order {a}?",
        "the quantity in order {a}",
        "=How many items does order {a} have?",
        "=How many units does order {a} have?",
    ),
    "order.status": (
        "the status of order {a}",
        "the state of order {a}",
        "=What state is order {a} in?",
        "the current status of order {a}",
        "=Which status does order {a} have?",
        "=What status does order {a} have?",
    ),
    "customer.city": (
        "the city of {a}",
        "the city where {a} lives",
        "=Where does {a} live?",
        "the home city of {a}",
        "=Which city does {a} live in?",
        "=In which city does {a} live?",
    ),
    "customer.tier": (
        "the tier of {a}",
        "the customer tier of {a}",
        "=Which tier does {a} have?",
        "the loyalty tier of {a}",
        "=What tier is {a} in?",
        "=Which loyalty tier is {a} in?",
    ),
    "customer.phone": (
        "the phone number of {a}",
        "the number to call {a}",
        "=How can we call {a}?",
        "the phone of {a}",
        "=Which number do we call to reach {a}?",
        "=Which phone number does {a} have?",
    ),
    "product.price": (
        "the price of {a}",
        "the unit price of {a}",
        "=How much does one {a} cost?",
        "the price of one {a}",
        "=What does one {a} cost?",
        "=How much is one {a}?",
    ),
    "product.stock": (
        "the stock of {a}",
        "the number of {a} in stock",
        "=How many {a} are in stock?",
        "the stock level of {a}",
        "=How many {a} do we have in stock?",
        "=How much {a} is left in stock?",
    ),
    "product.supplier": (
        "the supplier of {a}",
        "the name of the supplier of {a}",
        "=Who supplies {a}?",
        "the firm that supplies {a}",
        "=Which firm supplies {a}?",
        "=From which supplier does {a} come?",
    ),
    "shipment.carrier": (
        "the carrier of order {a}",
        "the carrier that ships order {a}",
        "=Who ships order {a}?",
        "the name of the carrier of order {a}",
        "=Which carrier ships order {a}?",
        "=Which carrier brings order {a}?",
    ),
    "shipment.days": (
        "the days in transit of order {a}",
        "the shipping time of order {a} in days",
        "=How many days does order {a} travel?",
        "the transit time of order {a}",
        "=How long is order {a} in transit?",
        "=How many days is order {a} in transit?",
    ),
    "shipment.cost": (
        "the shipping cost of order {a}",
        "the cost of shipping order {a}",
        "=How much does shipping order {a} cost?",
        "the freight cost of order {a}",
        "=What does it cost to ship order {a}?",
        "=How much is the freight of order {a}?",
    ),
    "order>customer.city": (
        "the city of the customer of order {a}",
        "the city where the buyer of order {a} lives",
        "=In which city does the customer of order {a} live?",
        "=Where does the buyer of order {a} live?",
        "the home city of the customer of order {a}",
    ),
    "order>customer.tier": (
        "the tier of the customer of order {a}",
        "the loyalty tier of the buyer of order {a}",
        "=Which tier does the customer of order {a} have?",
        "=What tier is the buyer of order {a} in?",
        "the customer tier of the buyer of order {a}",
    ),
    "order>customer.phone": (
        "the phone number of the customer of order {a}",
        "the phone of the buyer of order {a}",
        "=How can we call the customer of order {a}?",
        "the number to call the buyer of order {a}",
        "=Which number do we call to reach the buyer of order {a}?",
    ),
    "order>product.price": (
        "the unit price of the product in order {a}",
        "the price of the item in order {a}",
        "=What does one unit of the product in order {a} cost?",
        "=How much is one unit of the item in order {a}?",
        "the price of the product of order {a}",
    ),
    "order>product.stock": (
        "the stock of the product in order {a}",
        "the stock level of the item in order {a}",
        "=How many of the product in order {a} are in stock?",
        "=How many of the item in order {a} do we have in stock?",
        "the number in stock of the product of order {a}",
    ),
    "order>product.supplier": (
        "the supplier of the product in order {a}",
        "the firm that supplies the item in order {a}",
        "=Who supplies the product in order {a}?",
        "=Which firm supplies the item of order {a}?",
        "the name of the supplier of the item in order {a}",
    ),
    "order.total": (
        "the total price of order {a}",
        "the total of order {a}",
        "=How much does order {a} cost in total?",
        "the full price of order {a}",
        "=What is order {a} worth in total?",
        "the value of order {a}",
    ),
    "products.difference": (
        "the price difference between {a} and {b}",
        "the difference in price between {a} and {b}",
        "=How much more does {a} cost than {b}?",
        "=By how much is {a} dearer than {b}?",
        "the difference between the price of {a} and the price of {b}",
    ),
    "products.together": (
        "the price of one {a} and one {b} together",
        "the sum of the prices of {a} and {b}",
        "=What do {a} and {b} cost together?",
        "=How much are one {a} and one {b} together?",
        "the joint price of {a} and {b}",
    ),
    "shipment.per_unit": (
        "the shipping cost per unit of order {a}",
        "the freight cost per unit of order {a}",
        "=How much does shipping cost per unit of order {a}?",
        "=What is the freight per unit of order {a}?",
        "the cost of shipping one unit of order {a}",
    ),
}

KINDS = tuple(_PHRASES)


@cache
def phrasings(kind: str, split: Split) -> tuple[str, ...]:
    """Return the templates of `kind` in `split`, with {a} and {b} for the entities."""
    asked = [
        sentence for phrase in _PHRASES[kind] for sentence in _sentences(phrase) if split_of(sentence) == split
    ]
    return tuple(hello + sentence + closer for hello in _GREETINGS for sentence in asked for closer in _CLOSERS)


def _sentences(phrase: str) -> tuple[str, ...]:
    return (phrase[1:],) if phrase.startswith("=") else tuple(opener.format(phrase) for opener in _OPENERS)
