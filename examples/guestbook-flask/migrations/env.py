"""How Alembic reaches the database: by the application's own engine."""

import sys
from pathlib import Path

from alembic import context

sys.path.insert(0, str(Path(__file__).parents[1]))
from database import Base, engine  # noqa: E402

with engine.connect() as connection:
    # SQLite cannot alter a column: Alembic then makes a new table (render_as_batch).
    context.configure(connection=connection, target_metadata=Base.metadata, render_as_batch=True)
    with context.begin_transaction():
        context.run_migrations()
