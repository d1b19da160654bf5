"""The course as a site: whole, alive, and without a request to elsewhere.

Here views live in two lessons; VIZLIB_SITE names a folder with a site to hold in place of that.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import living_views
import make_site
import nbformat
import pytest
import site_words
import yaml
from nbformat.v4 import new_code_cell, new_notebook, new_output
from save_notebooks import NOTEBOOKS

from vizlib import lessons

ROOT = Path(__file__).parents[1]
QUESTION = re.compile(r"^(check|predict|summary)\(", re.MULTILINE)
SIZES = [(1280, 720), (390, 844)]


@pytest.fixture(scope="session")
def site(tmp_path_factory) -> Path:
    if ready := os.environ.get("VIZLIB_SITE"):
        return Path(ready).resolve()
    folder = tmp_path_factory.mktemp("site") / "site"
    make_site.build(folder, ("00", "03"))
    return folder


# --- Every link leads somewhere, and nothing is fetched from elsewhere -----------------------


class Page(HTMLParser):
    """What a page links to, what it fetches, and the places in it that a link may name."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links, self.fetched, self.places = [], [], {""}
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag, attrs):
        held = dict(attrs)
        self.places |= {held.get("id", ""), held.get("name", "")}
        if address := held.get("href"):
            (self.links if tag == "a" else self.fetched).append(address)
        if address := held.get("src"):
            self.fetched.append(address)


def broken(site: Path) -> list[str]:
    pages = {path: Page(path) for path in site.rglob("*.html")}
    return [
        f"{path.relative_to(site)}: {address}"
        for path, page in pages.items()
        for address in [*page.links, *page.fetched]
        if not (leads_on(path, address, pages) or is_elsewhere(address, page))
    ]


def is_elsewhere(address: str, page: Page) -> bool:
    """Whether a link leaves the site; what a page fetches must not, but may be in itself."""
    return address.startswith(("data:",) if address in page.fetched else ("https://",))


def leads_on(path: Path, address: str, pages: dict[Path, Page]) -> bool:
    split = urlsplit(address)
    if split.scheme or split.netloc:
        return False
    there = (path.parent / unquote(split.path)).resolve() if split.path else path
    places = pages[there].places if there in pages else {""}
    return there.is_file() and bool({split.fragment, unquote(split.fragment)} & places)


@pytest.mark.slow
def test_every_link_leads_somewhere_and_nothing_comes_from_elsewhere(site):
    assert broken(site) == []


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ('<a href="b.html">', "b.html"),
        ('<a href="a.html#there">', "a.html#there"),
        ('<a href="#there">', "#there"),
        ('<img src="b.png">', "b.png"),
        ('<script src="https://x.org/y.js">', "https://x.org/y.js"),
        ('<link href="//x.org/y.css">', "//x.org/y.css"),
    ],
)
def test_a_broken_link_is_found(tmp_path, body, complaint):
    (tmp_path / "a.html").write_text(f'<p id="here"><a href="#here"><a href="https://x.org">{body}')
    assert broken(tmp_path) == [f"a.html: {complaint}"]


@pytest.mark.slow
def test_every_notebook_and_every_module_has_its_page(site):
    there = NOTEBOOKS.glob("**/[0-9g]*.ipynb")
    notebooks = [path for path in there if ".ipynb_checkpoints" not in path.parts]
    for path in notebooks:
        assert (site / path.relative_to(NOTEBOOKS).with_suffix(".html")).is_file()
    modules = {path.stem for path in (ROOT / "vizlib").glob("[a-z]*.py")}
    modules |= {path.parent.name for path in (ROOT / "vizlib").glob("*/__init__.py")}
    assert {path.stem for path in (site / "docs" / "vizlib").iterdir()} == modules
    index = (site / "index.html").read_text("utf-8")
    card = r'class="card" href="(\w+)\.html"><img [^>]*src="pictures/(\d\d)\.png"'
    found = re.findall(card, index)
    assert [name[:2] for name, _ in found] == [number for _, number in found]
    assert [name for name, _ in found] == sorted(p.stem for p in NOTEBOOKS.glob("[0-9]*.ipynb"))


# --- What a notebook says ------------------------------------------------------------------


def test_formulas_are_the_browsers_own():
    text = site_words.words(r"a $\frac{x - m}{\sqrt{v}}$ and 5 \$" + "\n\n$$a^2$$\n")
    assert "<mfrac><mrow><mi>x</mi><mo>&#x02212;</mo><mi>m</mi></mrow><mrow><msqrt>" in text
    assert '<math xmlns="http://www.w3.org/1998/Math/MathML" display="block"><mrow><msup>' in text
    assert text.count("$") == 1


def test_links_between_notebooks_are_links_between_pages():
    text = site_words.words(
        "[a](../01_data.ipynb) [b](06_x.ipynb#c) [d](https://x.org/e.ipynb.zip)"
    )
    assert re.findall(r'href="(.*?)"', text) == [
        "../01_data.html",
        "06_x.html#c",
        "https://x.org/e.ipynb.zip",
    ]


def test_a_lesson_has_all_texts_sources_outputs_and_questions():
    for path in NOTEBOOKS.glob("[0-9]*.ipynb"):
        notebook = nbformat.read(path, as_version=4)
        page = site_words.in_html(notebook)
        code = [cell for cell in notebook.cells if cell.cell_type == "code"]
        asked = [cell for cell in code if QUESTION.search(cell.source)]
        outputs = sum(len(cell.outputs) for cell in code) - len(asked)
        assert page.count('class="text"') == len(notebook.cells) - len(code)
        assert page.count('class="highlight"') >= len(code)
        assert page.count('class="question"') == len(asked) > 0
        assert page.count("<figure>") + page.count('class="output"') == outputs


def cell_saying(source, said):
    cell = new_code_cell(source, outputs=[new_output("execute_result", {"text/plain": said})])
    return site_words.in_html(new_notebook(cells=[cell]))


def test_a_question_has_every_answer_that_the_lesson_knows():
    page = cell_saying('check("06.2", ...)', lessons.NO_ANSWER.sentence)
    said = json.loads(re.search(r'data-said="(.*?)"', page)[1].replace("&quot;", '"'))
    [answer, *mistakes] = said
    table = tomllib.loads((ROOT / "vizlib/lessons/06.toml").read_text("utf-8"))["2"]
    assert answer == [table["answer"], "Right."]
    assert mistakes == [[wrong, f"Not yet. {text}"] for wrong, text in table["mistakes"]]
    assert f'data-otherwise="Not yet. {table["hint"]}"' in page
    assert "dots" not in page


def test_what_is_answered_stays():
    page = cell_saying('check("06.2", 6 * 5 * 5)', "Right.")
    assert "question" not in page
    assert ">Right.</pre>" in page


def test_a_choice_has_buttons_and_a_function_a_hint():
    page = cell_saying('predict("06.b", ...)', lessons.NO_GUESS.sentence)
    assert re.findall(r"<button.*?>(.*?)<", page) == ["a", "b", "c"]
    page = cell_saying("def silence(x): ...\n\n\ncheck('10.6', silence)", site_words.NOTHING)
    assert "Set made[:, 0] to 0 and return made." in page


# --- A view as a page ----------------------------------------------------------------------


def test_a_page_fits_its_frame_and_one_that_is_too_large_gives_way(tmp_path, monkeypatch):
    page = tmp_path / "a.html"

    def write(path, *, recorded=False):
        if recorded and not recordable:
            raise ValueError("larger than 50 MB")
        style = f"<style>p {{ height: calc(50vh + {1 if recorded else 10**60}px) }}</style>"
        path.write_text(f"{style}<script>atob('/50vh')</script>")

    recordable = True
    assert living_views.written(page, write)
    assert f"height: calc(calc(50 * var(--vh)) + {10**60}px)" in page.read_text()
    monkeypatch.setattr(living_views, "LARGEST", 90)
    assert living_views.written(page, write)
    assert "height: calc(calc(50 * var(--vh)) + 1px)" in page.read_text()
    assert "atob('/50vh')" in page.read_text()
    recordable = False
    assert not living_views.written(page, write)
    assert not page.exists()


def test_each_view_of_a_lesson_has_a_page_of_its_own(tmp_path):
    for name in ("06_layers", "06_layers-2", "06_layers-3"):
        assert living_views.unused(tmp_path, "06_layers") == name
        (tmp_path / f"{name}.html").touch()
    assert living_views.unused(tmp_path, "06_pixel") == "06_pixel"


# --- In a browser --------------------------------------------------------------------------

PICTURES = """() => [...document.querySelectorAll("canvas, svg, img, pre, table")]
  .map(each => each.localName === "canvas" ? each.toDataURL() : each.outerHTML).join()"""
ROOM = "() => document.documentElement.clientWidth - document.documentElement.scrollWidth"
HEIGHT = "document.documentElement.scrollHeight"
MOVE = """e => {
  e.value = e.value === e.max ? e.min : e.max;
  for (const kind of ["input", "change"]) e.dispatchEvent(new Event(kind, { bubbles: true }));
}"""


@pytest.fixture(params=SIZES, ids=["projector", "phone"])
def walker(request, browser):
    """A page in the browser, with what it asks of others and what it complains of."""
    width, height = request.param
    context = browser.new_context(viewport={"width": width, "height": height})
    page = context.new_page()
    page.complaints = []
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.on("console", lambda said: page.complaints.append(said.text))
    page.on("request", lambda asked: page.complaints.extend(asked_elsewhere(asked.url)))
    page.set_default_timeout(10_000)
    yield page
    context.close()


def asked_elsewhere(address: str) -> list[str]:
    return [] if address.startswith(("file:", "data:", "blob:")) else [address]


@pytest.mark.browser
def test_no_page_is_wider_than_the_window(walker, site):
    for path in sorted(site.rglob("*.html")):
        walker.goto(path.as_uri())
        assert walker.evaluate(ROOM) >= 0, path
    assert walker.complaints == []


@pytest.mark.browser
def test_every_slider_of_every_view_moves_its_picture(walker, site):
    count = 0
    for lesson in sorted(site.glob("[0-9][0-9]_*.html")):
        walker.goto(lesson.as_uri())
        for frame in walker.query_selector_all("iframe"):
            frame.scroll_into_view_if_needed()
            view = frame.content_frame()
            view.wait_for_selector("input[type=range]:visible, canvas:visible")
            check_room(walker, frame, view)
            count += check_sliders(view, frame.get_attribute("src"))
    assert count >= 5
    assert walker.complaints == []


def check_room(page, frame, view):
    """The frame is as high as the page in it, and on a projector no higher than the screen."""
    page.wait_for_function("frame => frame.style.height", arg=frame)
    page.wait_for_timeout(500)
    assert view.evaluate(ROOM) >= 0
    assert view.evaluate(f"{HEIGHT} - document.documentElement.clientHeight") == 0
    assert view.evaluate("innerWidth - document.documentElement.clientWidth") == 0  # no scrollbar
    if page.viewport_size["width"] > 1000 and "00_layers" in view.url:
        assert view.evaluate(HEIGHT) <= page.viewport_size["height"]


def check_sliders(view, name):
    sliders = [each for each in view.query_selector_all("input[type=range]") if each.is_visible()]
    for slider in sliders:
        before = view.evaluate(PICTURES)
        slider.evaluate(MOVE)
        view.wait_for_function(f"before => ({PICTURES})() !== before", arg=before)
    assert sliders or "training" in name or "upload" in name, name
    return len(sliders)


@pytest.mark.browser
def test_a_page_judges_answers_as_the_notebook_does(walker, site):
    walker.goto((site / "00_start_here.html").as_uri())
    walker.locator(".question button", has_text="b").click()
    said = lessons.predict("00.a", "b").sentence
    assert walker.locator(".question output").first.inner_text() == said
    walker.goto((site / "03_neuron_and_loss.html").as_uri())
    fields = walker.locator("form", has=walker.locator("input"))
    tried = [("03.1", each) for each in ("0", "-0.5", " −0.5 ", "7", "0.001")]
    tried += [("03.2", each) for each in ("1.3863", "1.39", "1.4", "-1.39", "0.25")]
    for name, answer in tried:
        form = fields.nth(int(name[-1]))  # before the exercises is the prediction 03.a
        form.locator("input").fill(answer)
        form.locator("input").press("Enter")
        said = lessons.check(name, float(answer.replace("−", "-"))).sentence
        assert form.locator("output").inner_text() == said


# --- It is published -----------------------------------------------------------------------


def test_the_workflow_publishes_what_make_site_writes():
    workflow = yaml.safe_load((ROOT / ".github/workflows/site.yml").read_text("utf-8"))
    steps = workflow["jobs"]["site"]["steps"]
    assert "make site" in [step.get("run") for step in steps]
    [upload] = [step for step in steps if "upload-pages" in step.get("uses", "")]
    assert upload["with"]["path"] == "site"
    assert "\n/site/\n" in (ROOT / ".gitignore").read_text("utf-8")
