"""The database that DATABASE_URL names, and the entries in it."""

import os
from datetime import datetime

from sqlalchemy import Column, DateTime, Integer, String, Text, create_engine, event
from sqlalchemy.orm import declarative_base, scoped_session, sessionmaker

# Without DATABASE_URL, for trying the program alone, a file in this folder.
engine = create_engine(os.environ.get("DATABASE_URL", "sqlite:///guestbook.db"))
session = scoped_session(sessionmaker(engine))
Base = declarative_base()


@event.listens_for(engine, "connect")
def connected(connection, _):
    """SQLite: readers never wait, also while another instance writes."""
    if engine.dialect.name == "sqlite":
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA busy_timeout = 5000")


class Entry(Base):
    __tablename__ = "entries"

    id = Column(Integer, primary_key=True)
    name = Column(String(40), nullable=False)
    message = Column(Text, nullable=False)
    created_at = Column(DateTime, nullable=False, default=datetime.utcnow)
