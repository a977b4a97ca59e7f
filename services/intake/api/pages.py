"""The few pages that people themselves see: plain, accessible, without scripts, images or anything from elsewhere.

They name nobody and nothing: whoever opens the link by mistake learns nothing about a case.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from starlette.responses import HTMLResponse

from shared.runtime.pages import page


@dataclass(frozen=True)
class _Words:
    """The words of the page behind the link in a message. HTML, in one language."""

    itself: str
    question: str
    explained: str
    choice: str
    everything: str
    only_this: str
    button: str
    done: str
    from_now: str
    of_this: str
    under_way: str
    no_message: str
    over: str
    not_done: str
    again: str
    ask_them: str


# The languages that messages are written in: whoever gets one in Welsh can say no in Welsh.
_WORDS: Final = {
    "en": _Words(
        itself="English",
        question="Do you want us to stop contacting you?",
        explained="If you press the button, no organisation that works with us will contact you about restorative justice "
        "again. You do not have to give a reason. You can change your mind later by contacting us.",
        choice="What do you not want to hear about again?",
        everything="Anything about restorative justice",
        only_this="Only the matter that this message was about",
        button="Stop contacting me",
        done="We have written down that you do not want to be contacted",
        from_now="From now on nobody is given your contact details.",
        of_this="From now on nobody is given your contact details for the matter that this message was about.",
        under_way="One message or call was already on its way. It cannot be stopped; after it there will be none.",
        no_message="We will not send a message to confirm this.",
        over="This link no longer works",
        not_done="We could not write this down",
        again="Please try again in a few minutes.",
        ask_them="Ask the organisation that wrote to you to stop: they can do it for you at once.",
    ),
    "cy": _Words(
        itself="Cymraeg",
        question="Ydych chi am i ni roi'r gorau i gysylltu â chi?",
        explained="Os pwyswch y botwm, ni fydd unrhyw sefydliad sy'n gweithio gyda ni yn cysylltu â chi eto am gyfiawnder "
        "adferol. Nid oes rhaid i chi roi rheswm. Gallwch newid eich meddwl yn nes ymlaen drwy gysylltu â ni.",
        choice="Am beth nad ydych chi am glywed eto?",
        everything="Unrhyw beth am gyfiawnder adferol",
        only_this="Dim ond y mater yr oedd y neges hon yn sôn amdano",
        button="Stopiwch gysylltu â mi",
        done="Rydym wedi nodi nad ydych chi eisiau i neb gysylltu â chi",
        from_now="O hyn ymlaen, ni fydd neb yn cael eich manylion cyswllt.",
        of_this="O hyn ymlaen, ni fydd neb yn cael eich manylion cyswllt ar gyfer y mater "
        "yr oedd y neges hon yn sôn amdano.",
        under_way="Roedd un neges neu alwad eisoes ar ei ffordd. Ni ellir ei hatal; ni fydd un arall ar ei hôl.",
        no_message="Ni fyddwn yn anfon neges i gadarnhau hyn.",
        over="Nid yw'r ddolen hon yn gweithio mwyach",
        not_done="Ni allem nodi hyn",
        again="Rhowch gynnig arall arni ymhen ychydig funudau.",
        ask_them="Gofynnwch i'r sefydliad a ysgrifennodd atoch roi'r gorau iddi: gallant wneud hynny i chi ar unwaith.",
    ),
    "pl": _Words(
        itself="Polski",
        question="Czy mamy przestać się z Państwem kontaktować?",
        explained="Po naciśnięciu przycisku żadna organizacja, która z nami współpracuje, nie skontaktuje się już "
        "z Państwem w sprawie sprawiedliwości naprawczej. Nie trzeba podawać powodu. Później można zmienić zdanie, "
        "kontaktując się z nami.",
        choice="O czym nie chcą Państwo więcej słyszeć?",
        everything="O niczym, co dotyczy sprawiedliwości naprawczej",
        only_this="Tylko o sprawie, której dotyczyła ta wiadomość",
        button="Proszę się ze mną nie kontaktować",
        done="Zapisaliśmy, że nie chcą Państwo, aby się z Państwem kontaktowano",
        from_now="Od teraz nikt nie otrzyma Państwa danych kontaktowych.",
        of_this="Od teraz nikt nie otrzyma Państwa danych kontaktowych w sprawie, której dotyczyła ta wiadomość.",
        under_way="Jedna wiadomość lub rozmowa była już w drodze. Nie można jej zatrzymać; po niej nie będzie następnych.",
        no_message="Nie wyślemy wiadomości, która to potwierdza.",
        over="Ten link już nie działa",
        not_done="Nie udało się tego zapisać",
        again="Proszę spróbować ponownie za kilka minut.",
        ask_them="Proszę poprosić organizację, która do Państwa napisała, aby przestała: może to zrobić od razu.",
    ),
}


def _others(language: str) -> str:
    """Return the way to the same page in the other languages, each in its own words."""
    links = (
        f'<a href="?language={other}" hreflang="{other}" lang="{other}">{words.itself}</a>'
        for other, words in _WORDS.items()
        if other != language
    )
    return f"<nav><p>{' · '.join(links)}</p></nav>"


def _spoken(language: str) -> str:
    """Return a language that there is. What a mail program made of the end of a link must not stand in the way of a no."""
    return language if language in _WORDS else "en"


def withdraw_form(*, has_case: bool, language: str = "en") -> HTMLResponse:
    """Return the page that asks. Nothing happens before the button is pressed."""
    language = _spoken(language)
    words = _WORDS[language]
    choice = (
        f"<fieldset><legend>{words.choice}</legend>"
        f'<label><input type="radio" name="scope" value="everything" checked>{words.everything}</label>'
        f'<label><input type="radio" name="scope" value="case">{words.only_this}</label></fieldset>'
        if has_case
        else '<input type="hidden" name="scope" value="everything">'
    )
    return page(
        words.question,
        f"<p>{words.explained}</p>"
        f'<form method="post">{choice}<button type="submit">{words.button}</button></form>{_others(language)}',
        language=language,
    )


def withdrawn(state: dict[str, Any], *, everything: bool, language: str = "en") -> HTMLResponse:
    """Return the page that says how it stands."""
    language = _spoken(language)
    words = _WORDS[language]
    under_way = f"<p>{words.under_way}</p>" if state.get("outcome") == "in_flight" else ""
    from_now = words.from_now if everything else words.of_this
    told = f"<p>{from_now}</p>{under_way}<p>{words.no_message}</p>"
    return page(words.done, told, language=language)


def link_over(language: str = "en") -> HTMLResponse:
    """Return the page for a link that is not ours, or too old."""
    language = _spoken(language)
    words = _WORDS[language]
    return page(words.over, f"<p>{words.ask_them}</p>{_others(language)}", 404, language=language)


def not_done(language: str = "en") -> HTMLResponse:
    """Return the page for when nothing could be written down: nobody must believe that their no is known."""
    language = _spoken(language)
    words = _WORDS[language]
    again = f'<p><a href="?language={language}">{words.again}</a></p>'
    return page(words.not_done, f"{again}<p>{words.ask_them}</p>", 503, language=language)


def self_referral_form() -> HTMLResponse:
    """Return the page on which a person confirms that it was they who asked."""
    return page(
        "Was it you who asked about restorative justice?",
        "<p>If it was, press the button, and somebody will contact you. If it was not, do nothing.</p>"
        '<form method="post"><button type="submit">Yes, it was me</button></form>',
    )


def self_referral_confirmed() -> HTMLResponse:
    """Return the page after the confirmation."""
    return page("Thank you", "<p>Somebody will contact you. You can say no at any time.</p>")
