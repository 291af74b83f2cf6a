"""Blueprint to hardware: the only room that knows Amaranth."""
