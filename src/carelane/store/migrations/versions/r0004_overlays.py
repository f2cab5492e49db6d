"""A subscription may change the maps for itself alone."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the overlay's text; empty is none."""
    op.execute("ALTER TABLE subscription ADD COLUMN overlay text NOT NULL DEFAULT '' CHECK (length(overlay) <= 65536)")


def downgrade() -> None:
    """Going back would lose overlays, so it is refused."""
    raise RuntimeError("going back would lose the overlays of subscriptions; restore a backup instead")
