"""Take a picture of every page, wide, narrow and dark: python -m tests.browser.pictures FOLDER."""

import argparse
import asyncio
import tempfile
from pathlib import Path

from playwright.async_api import async_playwright

from carelane.store.store import open_store
from carelane.web.server import running
from tests.browser.conftest import ARGUMENTS, CHROMIUM
from tests.browser.scene import EMAIL, PASSWORD, furnish
from tests.journeys.hubs import running_hub

VIEWS = {"wide": (1440, "light"), "dark": (1440, "dark"), "narrow": (390, "light")}


async def _take(folder: Path, only: list[str]) -> None:
    with tempfile.TemporaryDirectory(prefix="carelane-pictures-") as data:
        Path(data).chmod(0o755)
        async with open_store(Path(data), None, None, serve=True) as store, running_hub(store) as hub, running(hub.app, "127.0.0.1", 0) as port:
            paths = await furnish(hub.hub)
            await asyncio.sleep(2)
            async with async_playwright() as playwright:
                browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
                for view, (width, scheme) in VIEWS.items():
                    await _walk(browser, f"http://127.0.0.1:{port}", folder, view, width, scheme, {k: v for k, v in paths.items() if not only or k in only})
                await browser.close()


async def _walk(browser, address: str, folder: Path, view: str, width: int, scheme: str, paths: dict[str, str]) -> None:
    context = await browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = await context.new_page()
    await page.goto(f"{address}/sign-in")
    await page.screenshot(path=folder / f"sign-in-{view}.png")
    await page.get_by_label("E-mail").fill(EMAIL)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Sign in").click()
    await page.wait_for_url("**/connections")
    for name, path in paths.items():
        await page.goto(address + path)
        await page.wait_for_timeout(400)
        await page.screenshot(path=folder / f"{name}-{view}.png", full_page=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", nargs="*", default=[], help="names of pages")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    asyncio.run(_take(given.folder, given.only))
