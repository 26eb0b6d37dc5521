"""Pure decisions with a formula or a paper behind them: which task next, when again, how many to whom."""
