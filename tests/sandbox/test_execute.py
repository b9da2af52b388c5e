"""What code can do, and how it is told."""

import hashlib
import io
import zipfile

from tests.sandbox.calls import run, value
from worker.sandbox.client import SandboxClient, SandboxSession, Text

PNG = b"\x89PNG\r\n\x1a\n"


async def test_variables_stay_and_the_last_expression_is_the_result(session: SandboxSession) -> None:
    await run(session, "import math\nradius = 2")

    assert await value(session, "round(math.pi * radius ** 2, 2)") == "12.57"
    assert await value(session, "_") == "12.57"


async def test_what_is_printed_comes_in_order(session: SandboxSession) -> None:
    code = """
import os, subprocess, sys
print("one")
print("two", file=sys.stderr)
os.write(1, b"three\\n")
print("four")
subprocess.run([sys.executable, "-S", "-c", "print('five')"])
print("six", end="")
"""
    heard = await run(session, code)

    assert heard.text() == "one\ntwo\nthree\nfour\nfive\nsix"
    assert heard.text("stderr") == "two\n"


async def test_output_comes_while_the_code_runs(client: SandboxClient, session: SandboxSession) -> None:
    code = "import time\nprint('begun')\ntime.sleep(1.5)\nprint('over')"
    states = {
        event.text: (await client.ask("GET", f"/sessions/{session.id}"))["state"]
        async for event in session.execute("slow", code)
        if isinstance(event, Text)
    }

    assert states["begun\n"] == "busy"


async def test_a_traceback_shows_the_users_lines_and_not_ours(session: SandboxSession) -> None:
    heard = await run(session, "import json\ndef read(text):\n    return json.loads(text)\n\nread('{')")

    assert heard.done.status == "error"
    failure = heard.failure
    assert failure.name == "JSONDecodeError"
    lines = failure.traceback.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert "    return json.loads(text)" in lines
    assert lines[-1] == f"json.decoder.JSONDecodeError: {failure.message}"
    assert "/opt/runner" not in failure.traceback
    assert await value(session, "1 + 1") == "2"


async def test_a_syntax_error_points_at_its_place(session: SandboxSession) -> None:
    heard = await run(session, "x = (1,\nfor")

    assert heard.failure.name == "SyntaxError"
    assert "Traceback" not in heard.failure.traceback
    assert "ast.py" not in heard.failure.traceback
    assert "line 1" in heard.failure.traceback


async def test_figures_are_shown_once_without_a_warning(session: SandboxSession) -> None:
    code = """
import matplotlib.pyplot as plt
plt.plot([1, 4, 9], label="squares")
plt.title("Größe in €")
plt.legend()
plt.savefig("/mnt/data/growth.png")
plt.show()
plt.figure()
plt.bar(["a", "b"], [1, 2]);
"""
    heard = await run(session, code)

    assert heard.done.status == "ok", heard.events
    assert len(heard.images) == 2
    assert all(image.startswith(PNG) for image in heard.images)
    assert heard.text() == ""
    assert (await session.read("growth.png")).startswith(PNG)


async def test_images_are_shown(session: SandboxSession) -> None:
    code = """
from PIL import Image
Image.new("RGB", (4, 4)).show()
display(Image.new("CMYK", (4, 4)))
Image.new("L", (4, 4))
"""
    heard = await run(session, code)

    assert len(heard.images) == 3, heard.events


async def test_display_prints_what_has_no_picture(session: SandboxSession) -> None:
    heard = await run(session, "import pandas as pd\ndisplay(pd.DataFrame({'a': [1, 2]}), 'text')")

    assert heard.text("stdout") == "   a\n0  1\n1  2\n'text'\n"


async def test_nobody_can_type(session: SandboxSession) -> None:
    for code in ("input('name? ')", "import sys; sys.stdin.read()", "import sys; sys.stdin.readline()"):
        assert (await run(session, code)).failure.name == "EOFError"


async def test_await_and_exit_are_understood(session: SandboxSession) -> None:
    assert (
        await value(session, "import asyncio\nawait asyncio.sleep(0.01)\nawait asyncio.sleep(0, 'slept')") == "'slept'"
    )
    assert (await run(session, "exit()")).done.status == "ok"
    assert (await run(session, "import sys; sys.exit('no')")).failure.name == "SystemExit"
    assert await value(session, "'alive'") == "'alive'"


async def test_processes_and_threads_work(session: SandboxSession) -> None:
    code = """
import multiprocessing, threading
def double(number):
    return 2 * number
with multiprocessing.Pool(2) as pool:
    print(pool.map(double, range(4)))
thread = threading.Thread(target=print, args=("from a thread",))
thread.start()
thread.join()
"""
    heard = await run(session, code)

    assert heard.text() == "[0, 2, 4, 6]\nfrom a thread\n", heard.events


async def test_an_excel_file_can_be_read_and_written(session: SandboxSession) -> None:
    code = """
import pandas as pd
frame = pd.DataFrame({"city": ["Oslo", "Rome"], "sold": [3, 4]})
frame.to_excel("/mnt/data/sales.xlsx", index=False)
int(pd.read_excel("/mnt/data/sales.xlsx")["sold"].sum())
"""
    assert await value(session, code) == "7"
    content = await session.read("sales.xlsx")
    assert "xl/worksheets/sheet1.xml" in zipfile.ZipFile(io.BytesIO(content)).namelist()


async def test_a_csv_file_is_analysed_and_plotted(session: SandboxSession) -> None:
    rows = "".join(f"{day},{day * 3 % 7}\n" for day in range(1, 31))
    await session.put("sales of may.csv", f"day,sold\n{rows}".encode())
    code = """
import pandas as pd
import matplotlib.pyplot as plt
frame = pd.read_csv("/mnt/data/sales of may.csv")
frame.plot(x="day", y="sold")
plt.savefig("/mnt/data/sales.png")
plt.close()
frame["sold"].agg(["mean", "max", "sum"]).to_dict()
"""
    expected = [day * 3 % 7 for day in range(1, 31)]

    assert await value(session, code) == str(
        {"mean": sum(expected) / 30, "max": float(max(expected)), "sum": float(sum(expected))}
    )
    picture = await session.read("sales.png")
    same = await value(session, "import hashlib\nhashlib.sha256(open('/mnt/data/sales.png', 'rb').read()).hexdigest()")
    assert same == repr(hashlib.sha256(picture).hexdigest())


async def test_every_package_that_is_promised_works(session: SandboxSession) -> None:
    code = """
import warnings
warnings.simplefilter("error")
import io, docx, networkx, numpy, openpyxl, pandas, PIL, pptx, pypdf, scipy.optimize, seaborn, sympy, tabulate
from sklearn.linear_model import LinearRegression
document = docx.Document(); document.add_paragraph("words"); document.save("/mnt/data/a.docx")
slides = pptx.Presentation(); slides.slides.add_slide(slides.slide_layouts[0]); slides.save("/mnt/data/a.pptx")
writer = pypdf.PdfWriter(); writer.add_blank_page(100, 100); writer.write("/mnt/data/a.pdf")
model = LinearRegression().fit([[1], [2], [3]], [2, 4, 6])
assert round(model.predict([[4]])[0]) == 8
assert scipy.optimize.minimize(lambda x: (x - 2) ** 2, 0.0).success
assert networkx.shortest_path(networkx.path_graph(4), 0, 3) == [0, 1, 2, 3]
assert str(sympy.integrate(sympy.Symbol("x") ** 2)) == "x**3/3"
print(tabulate.tabulate([["a", 1]], headers=["name", "number"]))
ax = seaborn.scatterplot(x=[1, 2], y=[3, 4])
"""
    heard = await run(session, code)

    assert heard.done.status == "ok", heard.events
    assert "name" in heard.text("stdout")
    assert heard.text("stderr") == ""
    assert len(heard.images) == 1
    assert [file.name for file in await session.files()] == ["a.docx", "a.pdf", "a.pptx"]


async def test_hosts_packages_are_not_there(session: SandboxSession) -> None:
    for name in ("aiohttp", "pydantic", "worker", "shared", "pip"):
        assert (await run(session, f"import {name}")).failure.name == "ModuleNotFoundError", name
