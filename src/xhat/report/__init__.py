"""HTML report of a fitted model: ``ae.report(X)``, ``xhat report MODEL DATA -o report.html``."""

from xhat.report.build import limits_of, make_report
from xhat.report.limits import Limits
from xhat.report.page import Report

__all__ = ["Limits", "Report", "limits_of", "make_report"]
