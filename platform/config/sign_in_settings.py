"""Settings of the ways in: second factors, sessions in browsers, social sign-in, single sign-on, third-party apps. Part
of ``settings``.
"""

from config import environment

env = environment.variables()
IN_DEVELOPMENT = environment.is_development(env)

# --- Second factors ---------------------------------------------------------------------------------------------------

# --- Sessions in browsers ---------------------------------------------------------------------------------------------

# --- Social sign-in ---------------------------------------------------------------------------------------------------

# --- Single sign-on ---------------------------------------------------------------------------------------------------

# --- Third-party apps -------------------------------------------------------------------------------------------------
