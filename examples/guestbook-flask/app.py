"""A guestbook: an ordinary Flask application that knows nothing of what runs it.

DATABASE_URL names the database. Where it listens is Gunicorn's business.
"""

from flask import Flask, abort, jsonify, redirect, render_template, request
from sqlalchemy import func, select

from database import Entry, session

PER_PAGE = 10
NAME_MAX = 40
MESSAGE_MAX = 600

app = Flask(__name__)
app.config["MAX_CONTENT_LENGTH"] = 16 * 1024


@app.teardown_appcontext
def end_session(_):
    session.remove()


def count():
    return session.scalar(select(func.count(Entry.id)))


def read_page(wanted):
    """The newest first; a number outside of the book is brought back into it."""
    total = count()
    pages = max(1, -(-total // PER_PAGE))
    number = min(max(1, wanted), pages)
    newest = select(Entry).order_by(Entry.id.desc()).limit(PER_PAGE).offset((number - 1) * PER_PAGE)
    return {"total": total, "pages": pages, "number": number, "entries": session.scalars(newest).all()}


def find_problem(name, message):
    """One sentence about what is wrong, or nothing."""
    if not name:
        return "Please tell us your name."
    if not message:
        return "Please write a message."
    if len(name) > NAME_MAX:
        return f"The name has more than {NAME_MAX} characters."
    if len(message) > MESSAGE_MAX:
        return f"The message has more than {MESSAGE_MAX} characters."
    return None


def is_from_elsewhere():
    """A form on another site can make a visitor's browser post here. Browsers say so."""
    return request.headers.get("Sec-Fetch-Site", "none") not in ("same-origin", "none")


@app.get("/")
def book():
    page = read_page(request.args.get("page", 1, type=int))
    return render_template("book.html", **page, draft={}), {"Cache-Control": "no-cache"}


@app.post("/entries")
def sign():
    if is_from_elsewhere():
        abort(403, "This form was sent from another site.")
    name = request.form.get("name", "").strip()
    message = request.form.get("message", "").replace("\r", "").strip()
    if problem := find_problem(name, message):
        draft = {"name": name, "message": message, "problem": problem}
        return render_template("book.html", **read_page(1), draft=draft), 422
    entry = Entry(name=name, message=message)
    session.add(entry)
    session.commit()
    # After a POST a redirect: reloading the page must not write the entry again.
    return redirect(f"/#entry-{entry.id}", code=303)


@app.get("/api/entries")
def entries():
    page = read_page(request.args.get("page", 1, type=int))
    listed = [
        {"id": one.id, "name": one.name, "message": one.message, "created_at": f"{one.created_at:%Y-%m-%dT%H:%M:%SZ}"}
        for one in page["entries"]
    ]
    return jsonify(entries=listed, page=page["number"], pages=page["pages"], total=page["total"])


@app.get("/up")
def up():
    count()
    return "up\n", {"Content-Type": "text/plain"}
