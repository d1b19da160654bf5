"""A view as a page of its own: its sliders, its scores, its canvases, and what it complains of."""

from __future__ import annotations

import time

import torch

TWICE = "() => new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r)))"
SLIDE = "(e, at) => { e.value = at; e.dispatchEvent(new Event('input')); }"
PIXEL = "(canvas, [x, y]) => [...canvas.getContext('2d').getImageData(x, y, 1, 1).data].slice(0, 3)"
PATIENCE = 60  # seconds: other tests run beside this one


def soon(check, *given):
    """Return what a check returns, tried until what it asserts holds: a busy machine is slow."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            return check(*given)
        except AssertionError:
            if time.monotonic() > until:
                raise


class Page:
    """A file in the browser, with every request and complaint."""

    def __init__(self, page, path, fragment="", allowed="\0"):
        self.page, self.requests, self.complaints = page, [], []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", lambda said: allowed in said.text or self.complaints.append(said.text))
        page.set_default_timeout(PATIENCE * 1000)
        page.goto(path.as_uri() + fragment)
        assert self.complaints == []  # or what follows would be waited for in vain
        page.wait_for_selector(".view *")
        if page.locator(".foot").count():
            page.wait_for_function("() => document.querySelector('.foot').textContent")
        self.settle()

    def settle(self):
        self.page.evaluate(TWICE)

    def slide(self, name, at):
        self.page.get_by_role("slider", name=name, exact=True).evaluate(SLIDE, at)
        self.settle()

    def button(self, name):
        self.page.get_by_role("button", name=name).click()
        self.settle()

    def text(self, selector):
        return self.page.locator(selector).first.inner_text()

    def waits_for(self, selector, words):
        """Wait until a part of the view says this: what takes longer than a frame comes later."""
        self.page.locator(selector).filter(has_text=words).first.wait_for()

    def label(self, selector=".map"):
        return self.page.locator(selector).get_attribute("aria-label")

    def pixel(self, selector, x, y):
        """The colour of one pixel of a canvas, red, green and blue."""
        return self.page.locator(selector).evaluate(PIXEL, [x, y])

    def scores(self):
        rows = self.page.locator(".class").all()
        return {row.locator(".name").inner_text(): number(row.locator(".score")) for row in rows}

    def reads(self, scores, apart=0.006):
        """Wait until the page shows these scores (K,), and assert it."""
        expected = torch.as_tensor(scores).tolist()

        def near():
            shown = list(self.scores().values())
            largest = max(abs(a - b) for a, b in zip(shown, expected, strict=True))
            assert largest <= apart, (shown, expected)

        soon(near)

    def draw(self, *points):
        """Draw on the pad, from point to point, each as parts of its width and height."""
        box = self.page.locator(".pad").bounding_box()
        for number_, (x, y) in enumerate(points):
            self.page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"], steps=8)
            if not number_:
                self.page.mouse.down()
        self.page.mouse.up()
        self.settle()


def number(text):
    text = text if isinstance(text, str) else text.inner_text()
    return float(text.replace("−", "-"))
