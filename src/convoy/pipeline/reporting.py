"""What the pipeline keeps of itself for people: its page, and the card of what it registers."""

from convoy import notes
from convoy.errors import ConvoyError
from convoy.kept import files, keep_json, keep_text
from convoy.model_card import Card, markdown
from convoy.outcome import Outcome
from convoy.pipeline.session import Session, Training
from convoy.progress import Step, report
from convoy.report import REPORT
from convoy.report.collect import collect, network
from convoy.report.page import page
from convoy.report.record import FILE, Data, contents

LICENCES = {
    "digits": "none is told; scikit-learn's `load_digits` says that they are a copy of the test "
    "set of the UCI ML hand-written digits datasets"
}
"""By source: what it says itself; of somebody's own images nothing is known."""


def card_of(work: Session, chosen: Training) -> str:
    """Return the model card of a training that is about to be registered."""
    with files(work.client) as there:
        found = network(work.client, there, chosen.run_id)
    command = notes.command(work.plan, [chosen.architecture])
    stamps, model = work.stamps, work.plan.data.model
    return markdown(Card(model, found, data_of(work), stamps.commit, stamps.dirty, command))


def keep_report(work: Session, outcome: Outcome, chosen: Training) -> None:
    """Keep what a report is made of with the pipeline's run, and the report itself.

    What cannot be reported costs no run that has come so far: it is told, and `convoy report` tries
    again.
    """
    kept = contents(outcome, data_of(work), list(work.plan.overrides), chosen.run_id)
    keep_json(work.client, work.run_id, kept, FILE)
    try:
        html = page(collect(work.client, work.run_id))
        keep_text(work.client, work.run_id, html, REPORT)
    except ConvoyError as error:
        report(Step("report", "failed", str(error)))


def data_of(work: Session) -> Data:
    """Return what a report says of the dataset version."""
    manifest, settings = work.manifest, work.plan.data
    return Data(
        name=work.plan.dataset,
        version=work.version.hash,
        digest=work.version.digest,
        source=settings.source,
        classes=list(manifest["classes"]),
        counts=manifest["counts"],
        channels=manifest["channels"],
        image_size=manifest["image_size"],
        licence=LICENCES.get(settings.source),
    )
