"""Names of streets and landmarks. Made up of common English words; every part of a city's names
comes from these lists, so that a small tokenizer can hold them."""

from __future__ import annotations

STREET_NAMES = (
    "Alder", "Amber", "Anchor", "Ash", "Barley", "Beacon", "Birch", "Bridge", "Canal", "Castle",
    "Cedar", "Chapel", "Cherry", "Church", "Clay", "Cooper", "Copper", "Court", "Crane", "Cross",
    "Dale", "Dock", "Elm", "Falcon", "Fern", "Ferry", "Field", "Finch", "Forge", "Fountain",
    "Fox", "Garden", "Gate", "Glass", "Grove", "Harbor", "Hazel", "Heron", "Hill", "Holly",
    "Iron", "Ivy", "Juniper", "King", "Lark", "Laurel", "Lime", "Linden", "Maple", "Market",
    "Meadow", "Mill", "Mint", "Mulberry", "Oak", "Olive", "Orchard", "Park", "Pearl", "Pine",
    "Plum", "Poplar", "Quarry", "Queen", "Raven", "River", "Rose", "Rowan", "Saddle", "Sage",
    "School", "Silver", "Sparrow", "Spring", "Station", "Stone", "Swan", "Temple", "Thorn", "Tower",
    "Union", "Vale", "Vine", "Walnut", "Water", "Well", "Wheat", "Willow", "Wool", "Yew",
)  # fmt: skip

#: What a city of a family calls its streets.
STREET_KINDS = {
    "grid": ("Street", "Avenue"),
    "diagonal": ("Street", "Boulevard"),
    "organic": ("Lane", "Row", "Alley"),
    "radial": ("Road", "Ring"),
}

LANDMARK_NAMES = (
    "Amber", "Apollo", "Arrow", "Atlas", "Aurora", "Bamboo", "Banner", "Basil", "Bluebird",
    "Brass", "Butterfly", "Cactus", "Canary", "Candle", "Caramel", "Cascade", "Citrus", "Clover",
    "Cobalt", "Comet", "Compass", "Coral", "Cosmos", "Cotton", "Crescent", "Crown", "Crystal",
    "Cypress", "Daisy", "Diamond", "Dolphin", "Dragon", "Eagle", "Echo", "Eclipse", "Ember",
    "Emerald", "Express", "Feather", "Festival", "Firefly", "Flamingo", "Galaxy", "Ginger",
    "Golden", "Granite", "Harvest", "Horizon", "Indigo", "Ivory", "Jasmine", "Jolly", "Jupiter",
    "Kettle", "Koala", "Lagoon", "Lantern", "Lavender", "Lemon", "Liberty", "Lighthouse", "Lotus",
    "Lucky", "Magnet", "Magnolia", "Marble", "Mercury", "Meteor", "Midnight", "Mirage", "Monarch",
    "Mosaic", "Neptune", "Nova", "Oasis", "Ocean", "Opal", "Orbit", "Orchid", "Otter", "Panda",
    "Papaya", "Parrot", "Pepper", "Phoenix", "Pilot", "Pioneer", "Polar", "Prism", "Quartz",
    "Rainbow", "Regent", "Rocket", "Royal", "Ruby", "Saffron", "Sapphire", "Scarlet", "Sierra",
    "Solar", "Sunrise", "Tiger", "Topaz", "Tulip", "Turtle", "Velvet", "Violet", "Walrus",
    "Windmill", "Zephyr",
)  # fmt: skip

LANDMARK_KINDS = (
    "Arcade", "Bakery", "Bank", "Barbershop", "Bistro", "Bookshop", "Brewery", "Cafe", "Cinema",
    "Clinic", "Deli", "Diner", "Florist", "Gallery", "Garage", "Grocery", "Gym", "Hotel",
    "Jeweler", "Laundry", "Library", "Market", "Museum", "Noodles", "Optician", "Pharmacy",
    "Pizza", "Post Office", "Studio", "Tailor", "Tavern", "Tea House", "Theater", "Toys",
)  # fmt: skip

ARCHITECTURES = {
    "grid": ("brick walk-up", "glass tower", "brownstone"),
    "diagonal": ("limestone", "stucco", "glass tower"),
    "organic": ("half-timbered", "whitewashed", "rubble stone"),
    "radial": ("red brick", "art nouveau", "concrete slab"),
}
WEATHERS = ("clear", "hazy", "overcast", "rain", "snow")
LIGHTS = ("morning", "noon", "evening", "dusk")
#: Ground, walls, accent and sky, as sRGB hex; a city has one of its family's palettes.
PALETTES = {
    "grid": (
        ("#4b4b4f", "#8c4a3a", "#d9a441", "#9fc3e0"),
        ("#55565a", "#6f7f8c", "#c2452d", "#b8cfe6"),
    ),
    "diagonal": (
        ("#6a6660", "#d8cbb0", "#3f6f8f", "#a9c9ea"),
        ("#5c5a57", "#e3d6c1", "#7a8f4a", "#c4d8e8"),
    ),
    "organic": (
        ("#7a6f63", "#efe6d6", "#7b3f2a", "#8fb7d9"),
        ("#6d675f", "#cfc2ab", "#4a5d3a", "#a5c0d4"),
    ),
    "radial": (
        ("#50504c", "#a8503d", "#2f5d62", "#b3c7d6"),
        ("#5f6062", "#b9b2a3", "#8a3b52", "#9db4c8"),
    ),
}
