"""What readers put up with, beyond the limits of time and memory that their process has."""

UNPACKED_BYTES = 1 << 30  # of a package: the largest upload twice
UNPACKED_RATIO = 200  # unpacked to packed; sheets, which pack best, reach 20 to 50
UNSUSPECTED_BYTES = 32 << 20  # of which any ratio is allowed
UNPACKED_MEMBERS = 20_000

SHEET_COLUMNS = 16_384  # Excel's own limit
TABLE_AT_ONCE = 64 << 10  # characters of a sheet that are held to keep it whole: the largest chunk is four tokens less

OCR_PIXELS = 25_000_000  # of a page: A3 at 300 dots an inch
OCR_DPI = 300
