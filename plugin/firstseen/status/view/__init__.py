"""The report for people: one page, made here, without a line that comes from elsewhere.

page     the whole, and what stands above everything where something is wrong
glance   what matters, at a glance
alerts   over time, and the latest
rules    how each of them does
ends     who sends, and who takes
books    the state, and whether the sums add up
parts    what sections are made of; tables, chart, words, markup
assets   the style sheet, the script that renews the page, the icon
"""
