import http.client
import threading

import pytest

from agenttrain.pages.loopback import VISITOR, Loopback
from agenttrain.pages.site import Site
from agenttrain.worlds.shop import shop


@pytest.fixture
def server(tmp_path):
    (tmp_path / "files" / "core").mkdir(parents=True)
    (tmp_path / "files" / "page.html").write_text("<p>page</p>")
    (tmp_path / "files" / "core" / "core.js").write_text("var core")
    (tmp_path / "secret").write_text("secret")
    server = Loopback(tmp_path / "files")
    yield server
    server.close()


def ask(server, method, path, body=None, **headers):
    connection = http.client.HTTPConnection(server.origin.removeprefix("http://"), timeout=10)
    connection.putrequest(method, path, skip_host=True)
    for name, value in ({"Host": "127.0.0.1", "Content-Length": str(len(body or b""))} | headers).items():
        connection.putheader(name, value)
    connection.endheaders(body)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text, dict(answer.getheaders())


def test_a_visitor_sees_the_own_site_and_nobody_else_sees_any(server):
    ours, other = Site(shop(0)), Site(shop(1))
    ours_cookie, other_cookie = (f"{VISITOR}={server.admit(site)}" for site in (ours, other))
    status, page, headers = ask(server, "GET", "/goods/0", Cookie=ours_cookie)
    assert (status, headers["Cache-Control"]) == (200, "no-store")
    assert f"<h1>{shop(0).products[0].name}</h1>" in page
    assert shop(1).products[0].name in ask(server, "GET", "/goods/0", Cookie=other_cookie)[1]
    for cookie in ("", f"{VISITOR}=guess", "garbage;;=", f'{VISITOR}="'):
        assert ask(server, "GET", "/goods/0", Cookie=cookie)[0] == 403
    assert (ours.shown, other.shown) == (1, 1)


def test_what_is_sent_arrives_and_leads_on(server):
    site = Site(shop(0))
    cookie = f"{VISITOR}={server.admit(site)}"
    color = shop(0).products[0].options["Color"][0]
    status, _, headers = ask(server, "POST", "/cart/0", f"Color={color}".encode(), Cookie=cookie)
    assert (status, headers["Location"]) == (303, "/cart")
    assert [line.options for line in site.cart] == [{"Color": color}]


def test_only_files_of_the_folder_are_served(server):
    assert ask(server, "GET", "/files/page.html")[:2] == (200, "<p>page</p>")
    assert ask(server, "GET", "/files/core/core.js")[2]["Content-Type"] == "text/javascript"
    for path in (
        "/files/../secret",
        "/files/%2e%2e/secret",
        "/files//etc/passwd",
        "/files/%2fetc/passwd",
        "/files/core",
    ):
        assert ask(server, "GET", path)[0] == 404, path


def test_a_request_that_is_none_hurts_nobody(server):
    cookie = f"{VISITOR}={server.admit(Site(shop(0)))}"
    for length in ("nonsense", "-5", "0"):
        assert ask(server, "POST", "/cart/0", **{"Content-Length": length, "Cookie": cookie})[0] == 303
    assert ask(server, "POST", "/forms/contact", b"\xff\xfe=%zz&&=", Cookie=cookie)[0] == 303
    assert ask(server, "GET", "/help", Cookie=cookie)[0] == 200


def test_the_port_is_free_and_no_thread_is_left_when_it_is_closed():
    before = threading.active_count()
    server = Loopback(None)
    assert ask(server, "GET", "/files/x")[0] == 404
    server.close()
    with pytest.raises(OSError):  # noqa: PT011 - refused
        ask(server, "GET", "/")
    assert threading.active_count() <= before
