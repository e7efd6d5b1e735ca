"""Which links are left alone, and why."""

import pytest

from redirector.emails.template_tags import template_tag_in

from .reading import only_link

PREFIX = "https://news.example.com/c/"


@pytest.mark.parametrize(
    ("tag", "skip", "named"),
    [
        pytest.param('href=""', "empty", "empty", id="empty"),
        pytest.param('href="  &#10; "', "empty", "empty", id="blank"),
        pytest.param("href", "empty", "empty", id="no-value"),
        pytest.param('href="#"', "fragment", "#", id="hash"),
        pytest.param('href=" #top"', "fragment", "#top", id="fragment"),
        pytest.param('href="mailto:a@example.com"', "other-scheme", "mailto:", id="mailto"),
        pytest.param('href="TEL:+1"', "other-scheme", "tel:", id="tel"),
        pytest.param('href="java&#10;script:void(0)"', "other-scheme", "javascript:", id="javascript-in-disguise"),
        pytest.param('href="cid:1@x"', "other-scheme", "cid:", id="cid"),
        pytest.param('href="data:text/html,x"', "other-scheme", "data:", id="data"),
        pytest.param('href="web+app://x"', "other-scheme", "web+app:", id="app"),
        pytest.param('href="/path"', "relative", "relative", id="path"),
        pytest.param('href="//example.com/x"', "relative", "relative", id="scheme-relative"),
        pytest.param('href="www.example.com"', "relative", "relative", id="no-scheme"),
        pytest.param('href="?x=https://x"', "relative", "relative", id="query"),
        pytest.param('href="https://x/{{ id }}"', "template", "{{ id }}", id="template"),
        pytest.param('href="%unsubscribe_url%"', "template", "%unsubscribe_url%", id="template-before-relative"),
        pytest.param('href="https://x/" data-no-track', "no-track", "data-no-track", id="own"),
        pytest.param('href="https://x/" ses:no-track', "no-track", "ses:no-track", id="ses"),
        pytest.param('href="https://x/" SES:no-track="true"', "no-track", "ses:no-track", id="ses-value"),
        pytest.param('href="https://x/" clicktracking=off', "no-track", "clicktracking=off", id="sendgrid"),
        pytest.param('href="https://x/" ClickTracking=" OFF "', "no-track", "clicktracking=off", id="sendgrid-case"),
        pytest.param('href="https://x/" data-pm-no-track', "no-track", "data-pm-no-track", id="postmark"),
        pytest.param('href="https://x/" disable-tracking=true', "no-track", "disable-tracking=true", id="mailgun"),
        pytest.param('href="https://x/" mc:disable-tracking', "no-track", "mc:disable-tracking", id="mandrill"),
        pytest.param('href="https://x/" mautic:disable-tracking', "no-track", "mautic:disable", id="mautic"),
        pytest.param('href="https://x/" data-mautic-disable-tracking=true', "no-track", "data-mautic", id="mautic-7"),
        pytest.param(
            'href="https://x/" data-msys-clicktrack="0"', "no-track", "data-msys-clicktrack=0", id="sparkpost"
        ),
        pytest.param('href="https://x/" class="b untracked"', "no-track", "untracked", id="customer-io"),
        pytest.param('href="https://x/" class="mktNoTrack"', "no-track", "mktNoTrack", id="marketo-class"),
        pytest.param('href="https://x/" mktNoTrack="true"', "no-track", "mktnotrack", id="marketo-attribute"),
        pytest.param('href="https://x/{{ id }}" ses:no-track', "no-track", "ses:no-track", id="author-before-template"),
        pytest.param('href="mailto:x" ses:no-track', "other-scheme", "mailto:", id="scheme-before-author"),
        pytest.param(f'href="{PREFIX}AbC"', "already-tracked", PREFIX, id="tracked"),
        pytest.param('href="HTTPS://News.example.com/c/AbC"', "already-tracked", PREFIX, id="tracked-case"),
        pytest.param(f'href="{PREFIX}unsub"', "already-tracked", PREFIX, id="tracked-before-guess"),
        pytest.param('href="https://x/unsubscribe?u=1"', "unsubscribe", "unsubscribe", id="path"),
        pytest.param('href="https://unsub.example.com/"', "unsubscribe", "unsub", id="host"),
        pytest.param('href="https://x/?r=%2FUnsubscribe"', "unsubscribe", "unsubscribe", id="escaped"),
        pytest.param('href="https://x/?do=opt-out"', "unsubscribe", "opt-out", id="opt-out"),
        pytest.param('href="https://x/opt_out"', "unsubscribe", "opt_out", id="opt_out"),
        pytest.param('href="https://x/optout.php"', "unsubscribe", "optout", id="optout"),
        pytest.param('href="https://x/un-subscribe"', "unsubscribe", "un-subscribe", id="un-subscribe"),
        pytest.param('href="https://x/list_unsubscribe_2"', "unsubscribe", "unsubscribe", id="underscores"),
        pytest.param('href="https://x/OneClickUnsubscribe?u=1"', "unsubscribe", "unsubscribe", id="camel-case"),
        pytest.param('href="https://x/unsubscribeUser?u=1"', "unsubscribe", "unsubscribe", id="camel-case-behind"),
        pytest.param('href="https://x/listunsubscribe/1"', "unsubscribe", "unsubscribe", id="glued"),
        pytest.param('href="https://x/LISTUNSUBSCRIBE"', "unsubscribe", "unsubscribe", id="glued-capitals"),
        pytest.param('href="https://x/newsunsubscribenow"', "unsubscribe", "unsubscribe", id="glued-on-both-sides"),
        pytest.param('href="https://x/unsubscribers"', "unsubscribe", "unsubscribe", id="longer-word"),
        pytest.param('href="https://x/unsubscription"', "unsubscribe", "unsubscription", id="unsubscription"),
        pytest.param('href="https://x/UnSubscribe"', "unsubscribe", "unsubscribe", id="capital-within"),
        pytest.param('href="https://x/mailUnsub"', "unsubscribe", "unsub", id="unsub-camel-case"),
        pytest.param('href="https://x/emailOptOut"', "unsubscribe", "optout", id="opt-out-camel-case"),
        pytest.param('href="https://x/optOutLink"', "unsubscribe", "optout", id="opt-out-camel-case-behind"),
        pytest.param('href="https://x/?r=%2FOneClick%55nsubscribe"', "unsubscribe", "unsubscribe", id="escaped-within"),
        pytest.param('href="https://x/" rel="nofollow unsubscribe"', "unsubscribe", "rel", id="rel"),
        pytest.param('href="https://x/" class="footer-unsubscribe"', "unsubscribe", "class", id="class-hint"),
        pytest.param('href="https://x/" data-unsubscribe-link', "unsubscribe", "data-unsubscribe-link", id="data-hint"),
    ],
)
def test_a_link_is_left_alone_for_a_reason_that_is_told(tag: str, skip: str, named: str) -> None:
    """Each rule has its slug, and a sentence that names what was found."""
    link = only_link(f"<a {tag}>".encode(), tracked_prefix=PREFIX)

    assert link.skip == skip
    assert named in link.skip_detail
    assert link.skip_detail.endswith(".")


@pytest.mark.parametrize(
    "tag",
    [
        pytest.param('href="https://example.com/"', id="https"),
        pytest.param('href="HTTP://example.com"', id="http-upper-case"),
        pytest.param('href="https:example.com"', id="no-slashes"),
        pytest.param('href="https://x/#top"', id="fragment-of-a-page"),
        pytest.param('href="https://x/" clicktracking=on', id="sendgrid-on"),
        pytest.param('href="https://x/" clicktracking=false', id="sendgrid-not-a-value"),
        pytest.param('href="https://x/" clicktracking', id="sendgrid-no-value"),
        pytest.param('href="https://x/" disable-tracking=false', id="mailgun-false"),
        pytest.param('href="https://x/" data-msys-clicktrack="1"', id="sparkpost-1"),
        pytest.param('href="https://x/" class="untracked-no tracked"', id="other-classes"),
        pytest.param('href="https://x/" title="ses:no-track"', id="marker-as-a-value"),
        pytest.param('href="https://news.example.com/catalogue"', id="not-the-prefix"),
        pytest.param('href="https://x/resubscribe?subscribe=1"', id="subscribe"),
        pytest.param('href="https://x/Subscribe/subscription"', id="subscription"),
        pytest.param('href="https://x/sunsubtle/adoptouts"', id="letters-around"),
        pytest.param('href="https://x/stopout/adoptOut/HOPTOUT"', id="letters-before"),
        pytest.param('href="https://x/optOuter/unsubtle"', id="letters-behind"),
        pytest.param('href="https://x/sun-subscription/fun_subscribe"', id="sun-subscription"),
        pytest.param('href="https://x/sunsubscription/MySunsubscription"', id="sun-subscription-glued"),
        pytest.param('href="https://x/SunSubscription/ourSunSubscription"', id="sun-subscription-camel-case"),
        pytest.param('href="https://x/" title="unsubscribe" id="unsubscribe"', id="hint-elsewhere"),
        pytest.param('href="https://x/?q=a%20b&r=100%"', id="escapes"),
        pytest.param('href="http://[::1]/?a[]=1&b[c]=2"', id="brackets"),
    ],
)
def test_other_links_are_to_be_tracked(tag: str) -> None:
    """Nothing else is a reason, and then there is no sentence."""
    link = only_link(f"<a {tag}>".encode(), tracked_prefix=PREFIX)

    assert (link.skip, link.skip_detail) == (None, "")


@pytest.mark.parametrize("prefix", [None, ""])
def test_without_a_prefix_nothing_is_tracked_already(prefix: str | None) -> None:
    """An unknown prefix matches nothing, rather than everything."""
    assert only_link(b"<a href=https://x/>", tracked_prefix=prefix).skip is None


def test_a_link_that_cannot_be_decoded_is_left_alone() -> None:
    """Nobody knows where it leads, so it is neither followed nor changed."""
    link = only_link(b"<a href='https://x/\xe9'>", charset="utf-8")

    assert (link.skip, link.href) == ("undecodable", "https://x/\ufffd")


@pytest.mark.parametrize(
    ("href", "tag"),
    [
        ("{{ url }}", "{{ url }}"),
        ("https://x/{{a}}/{{b}}", "{{a}}"),
        ("{{ url(", "{{"),
        ("https://x/{% if a %}b{% endif %}", "{% if a %}"),
        ("{% if", "{%"),
        ("*|UNSUB|*", "*|UNSUB|*"),
        ("*|UNSUB", "*|"),
        ("https://x/?e=*|EMAIL|*&c=1", "*|EMAIL|*"),
        ("<%asm_group_unsubscribe_raw_url%>", "<%asm_group_unsubscribe_raw_url%>"),
        ("<% x", "<%"),
        ("https://x/${user.id}/", "${user.id}"),
        ("https://x/${user", "${"),
        ("https://x/[[data-msys-clicktrack='0']]", "[[data-msys-clicktrack='0']]"),
        ("https://x/[[x", "[["),
        ("%%=RedirectTo(@x)=%%", "%%=RedirectTo(@x)=%%"),
        ("%%=v(", "%%="),
        ("%%emailaddr%%", "%emailaddr%"),
        ("%%address%%", "%address%"),
        ("%unsubscribe_url%", "%unsubscribe_url%"),
        ("https://x/?e=%recipient.email%&f=1", "%recipient.email%"),
        ("https://x/%PERS-ID%", "%PERS-ID%"),
        ("https://x/%address%", "%address%"),  # %ad is an escape, the last percent sign is not
        ("https://x/%DATE%/%20", "%DATE%"),
        ("https://x/%face%", "%face%"),
        ("https://x/%EMAIL%20x", "%EMAIL%"),  # %EM is no escape
        ("https://x/%[email]%", "%[email]%"),
        ("https://x/%C3%A9/%name%", "%name%"),
        ("https://x/?e=[email]", "[email]"),
        ("https://x/?e=[email,fallback=]&f=1", "[email,fallback=]"),
        ("https://x/?e=[email]#top", "[email]"),
        ("https://x/%20x%20", None),
        ("https://x/%2Fbilling%2F", None),
        ("https://x/%C3%A9", None),
        ("https://x/%c3%a9t%c3%a9", None),
        ("https://x/%E2%82%AC", None),
        ("https://x/%abc%20", None),
        ("https://x/%AFoo%BAr", None),
        ("https://x/%C3%A9%", None),  # a stray percent sign after an escape
        ("https://x/?off=100%&on=50%", None),
        ("https://x/%25EMAIL%25", None),
        ("https://x/%1st%", None),
        ("https://x/%a b%", None),
        ("https://x/%%", None),
        ("https://x/?a[]=1&b[c]=[1]", None),
        ("https://x/?a=[b]c", None),
        ("https://x/{a}|*$[b]<c>", None),
    ],
)
def test_template_tags_are_told_from_percent_encoding(href: str, tag: str | None) -> None:
    """The table of what a mailing tool would still replace, and of what only looks like it."""
    assert template_tag_in(href) == tag
