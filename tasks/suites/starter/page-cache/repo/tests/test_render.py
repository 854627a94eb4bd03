from pagecache import Cache, CachedRenderer


def test_a_page_is_rendered_once():
    rendered = []

    def render(path):
        rendered.append(path)
        return f"<h1>{path}</h1>"

    renderer = CachedRenderer(render, Cache(2))
    assert renderer.page("/start") == "<h1>/start</h1>"
    assert renderer.page("/start") == "<h1>/start</h1>"
    assert rendered == ["/start"]


def test_the_page_visited_last_is_still_cached():
    rendered = []
    renderer = CachedRenderer(lambda path: rendered.append(path) or path, Cache(2))
    for path in ["/a", "/b", "/c", "/c"]:
        renderer.page(path)
    assert rendered == ["/a", "/b", "/c"]
