from .routes import add_page
from .view import RunView

__all__ = ["RunView", "add_page"]
