"""The API's numbers: how much interest topics found, and what a campaign achieved."""

from starlette.requests import Request
from starlette.responses import Response

from redirector import report
from redirector.web import shapes
from redirector.web.services import answered, services
from redirector.wire import FiguresOut, TopicOut, TopicsOut


async def get_topics(request: Request) -> Response:
    """How much interest each topic found."""
    api = services(request)
    totals = await api.counters.totals()  # before the topics: what is in the sum is then in its rows as well
    interests = await report.topics(api.links, api.counters, api.keys, api.now())
    topics = [
        TopicOut(
            topic=of.topic,
            clicks=of.clicks,
            figures=FiguresOut.of(of.clicks),
            unique_clickers=of.unique_clickers,
        )
        for of in interests
    ]
    return answered(TopicsOut(topics=topics, clicks=totals, figures=FiguresOut.of(totals)))


async def get_report(request: Request) -> Response:
    """What a campaign achieved."""
    api = services(request)
    name = request.path_params["name"]
    found = await report.report(name, api.campaigns, api.links, api.counters, api.keys, min_cell=api.min_cell)
    return answered(shapes.report_out(found))
