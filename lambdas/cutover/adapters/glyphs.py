"""A font of five by seven dots, for the numbers on plots: columns from the left, the lowest bit on top."""

WIDTH, HEIGHT = 5, 7

_COLUMNS = {
    "0": "3E5149453E",
    "1": "00427F4000",
    "2": "4261514946",
    "3": "2141454B31",
    "4": "1814127F10",
    "5": "2745454539",
    "6": "3C4A494930",
    "7": "0171090503",
    "8": "3649494936",
    "9": "064949291E",
    ".": "0060600000",
    ",": "0050300000",
    "-": "0808080808",
    "+": "08083E0808",
    "/": "2010080402",
    ":": "0036360000",
    "%": "2313086462",
    "e": "3854545418",
    "m": "7C04180478",
    "s": "4854545420",
    " ": "0000000000",
}
GLYPHS = {char: bytes.fromhex(columns) for char, columns in _COLUMNS.items()}
